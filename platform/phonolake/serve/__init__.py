"""The lake over HTTP: Ray Serve with replicas that answer, and a gateway in front of them."""
