"""Kubernetes and AWS on this machine, for the demo, the tests and the benchmarks.

It is not part of the package: neither the wheel nor the image contains it.
"""
