"""The functional core: values in, values out.

Nothing below this package touches a clock, entropy, files, network, environment or log;
`tests/unit/test_tidy.py` holds it to an import allow-list. Such things arrive as arguments.
"""
