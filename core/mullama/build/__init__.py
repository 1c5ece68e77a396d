"""Builds libmullama from a checkout: `python -m mullama.build library`. Needs the standard library only."""
