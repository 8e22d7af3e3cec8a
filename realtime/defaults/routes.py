"""The default of `REALTIME["ROUTES"]`."""

from realtime.defaults.routing import default_routes

routes = default_routes()
