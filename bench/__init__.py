"""Benchmarks: speed, AWS calls, CPU and memory of the operator, each compared with a limit that is measured in the same run."""
