"""Rows and weights of the tests of outages: those of the integration tests."""

from tests.integration.conftest import data_root, model_root

__all__ = ["data_root", "model_root"]
