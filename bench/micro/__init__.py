"""Micro-benchmarks of single parts: `python -m pytest bench/micro`. Not part of `make test`."""
