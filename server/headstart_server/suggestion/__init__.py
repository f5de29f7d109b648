"""Suggests a spec for a data set: what each column is and why, what gives a target away, which encoders to use."""
