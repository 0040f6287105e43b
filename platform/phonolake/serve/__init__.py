"""The lake over HTTP: Ray Serve keeps replicas that answer, and a gateway before them."""
