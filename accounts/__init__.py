"""Users, tenants, domains and memberships; sign-in; tokens and tickets."""
