"""What ``scripts/mutate`` runs: single changes to the code, and tests that should notice them.

The changes are those of mutmut, which by itself changes no constants of a module, such as patterns,
and no function with a decorator; and it takes no sample.
"""
