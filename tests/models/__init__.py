"""The long check of every model in torchvision's registry: `make test-models`."""
