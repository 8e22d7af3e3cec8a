"""What `REALTIME["ROUTES"]` names by default."""

from realtime.defaults.routing import default_routes

routes = default_routes()
