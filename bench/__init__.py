"""Measurements of the service beside the floors that no service can beat. Run ``python -m bench``."""
