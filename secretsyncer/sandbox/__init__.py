"""A place to try the operator in: an embedded or real Kubernetes API, moto's AWS, and the demo.

Needs the extra `secretsyncer[sandbox]`.
"""
