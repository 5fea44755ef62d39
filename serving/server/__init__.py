"""The TorchServe process of this host: started, watched, shut down."""
