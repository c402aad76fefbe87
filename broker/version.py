"""The version, in the one place that everything reads it from."""

VERSION = "0.4.0"
