"""Kiro CLI."""
