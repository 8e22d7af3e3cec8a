"""The pages to sign in and out, and the middleware of all pages."""
