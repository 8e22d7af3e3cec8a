"""The wire as others see it: real sockets, real server processes, clients that are not ours."""
