"""The ingress of a cluster: the wire of TorchServe, over HTTP and gRPC."""
