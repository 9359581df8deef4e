"""Benchmarks: how fast, how frugal and how small the operator is, each figure beside a limit of the same run."""
