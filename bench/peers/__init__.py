"""Beside systems that do the same job: mail between coding agents. What a driver is: driver.py; how to run: docs/peers.md.

The way of a run: __main__ reads the options; installation puts each system into an environment of its own; isolation takes the
network away; a place is a fresh home in which a driver's commands run; speed and torture measure there; all goes into Results.
"""
