"""Generates everything that follows from the description of the ABI: load, check, api, targets."""
