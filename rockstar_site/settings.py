"""Django settings. Values that differ between deployments come from the environment (.env.example)."""

import sys
from datetime import timedelta
from pathlib import Path

from csp.constants import NONCE, NONE, SELF
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured

from chat.topics import ROOM_TOPICS
from realtime import (
    TopicRule,
    log_settings,
    members,
    nobody,
    owner,
    parse_origin,
    publishing_members,
    staff,
)
from rockstar_site.broker_settings import caches, channel_layers
from rockstar_site.checks import check_variables
from rockstar_site.env import read_environment

BASE_DIR = Path(__file__).resolve().parent.parent
try:
    ENV = read_environment(BASE_DIR)
except ImproperlyConfigured as error:
    # One line for each invalid variable instead of a traceback, for every command and server.
    sys.exit(str(error))

# The site is no app, whose `ready` would do this.
register(check_variables)

DEBUG = ENV.debug
SECRET_KEY = ENV.secret_key
# Hosts are rows of the database. TenantMiddleware, the first middleware, refuses unknown hosts.
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    # First, because its `runserver` is Daphne's with our settings. Without "daphne" here no other process loads
    # Twisted: 25 MB and 0.2 s for each worker.
    "realtime",
    "realtime.dashboard.apps.LiveAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "csp",
    "corsheaders",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "channels",
    "accounts",
    "chat",
    "demo",
]

MIDDLEWARE = [
    "rockstar_site.nul.NulMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "rockstar_site.slashes.EitherSlashMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "accounts.web.middleware.TenantMiddleware",
    "accounts.web.cors.TenantCorsMiddleware",
    "accounts.web.middleware.RefusalMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "accounts.web.middleware.TenantSessionMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "realtime.middleware.request_user.RequestUserMiddleware",
]

ROOT_URLCONF = "rockstar_site.urls"
ASGI_APPLICATION = "rockstar_site.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "demo.pages.demo_users",
            ],
        },
    },
]

DATABASES = {"default": ENV.database}

CACHES = caches(ENV.redis_url, ENV.cache_url)
# For consumers of other apps: topics do not use it.
CHANNEL_LAYERS = channel_layers(ENV.redis_url, ENV.channel_redis_url)

# Identity

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["accounts.backends.MembershipBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
# Passwords hashed at the same time in this process (0: no limit), how many more may wait, and for how long.
PASSWORD_THREADS = ENV.password_threads
PASSWORD_QUEUE = ENV.password_queue
PASSWORD_WAIT_S = ENV.password_wait_s
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/chat/"
LOGOUT_REDIRECT_URL = "/accounts/login/"
# Django's database sessions, each bound to a tenant.
SESSION_ENGINE = "accounts.credentials.sessions"
# With the `__Host-` prefix a browser accepts a cookie from this host and over TLS only. Tenants may be
# subdomains of one domain, and must not set cookies for each other.
COOKIE_PREFIX = "__Host-" if ENV.https else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = ENV.https
CSRF_COOKIE_SECURE = ENV.https
# Forms compare the Origin with the host that the proxy passes on. If it strips the port, or sends no
# X-Forwarded-Proto, the site's own origin is named in REALTIME_ALLOWED_ORIGINS.
CSRF_TRUSTED_ORIGINS = [str(parse_origin(origin)) for origin in ENV.realtime["ALLOWED_ORIGINS"]]
CSRF_FAILURE_VIEW = "accounts.web.csrf.form_refused"
# Pages of these origins may ask for tokens and tickets. They bring a password or a token: no cookie is sent.
CORS_ALLOWED_ORIGINS = CSRF_TRUSTED_ORIGINS
CORS_ALLOW_CREDENTIALS = False
CORS_URLS_REGEX = r"^/api/(token|ws-ticket)(/|$)"
CORS_ALLOW_METHODS = ("POST", "OPTIONS")
CORS_ALLOW_HEADERS = ("accept", "authorization", "content-type")
CORS_EXPOSE_HEADERS = ("Retry-After",)
CORS_PREFLIGHT_MAX_AGE = 600
# In the session, which is bound to the tenant. A message cookie would be valid on every host.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENV.https else None
SECURE_HSTS_SECONDS = 31_536_000 if ENV.https else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    }
}

# Whether to serve /api/docs/ and the browsable API.
API_DOCS = ENV.api_docs
API_RENDERERS = ["JSONRenderer", "BrowsableAPIRenderer"] if API_DOCS else ["JSONRenderer"]

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": [f"rest_framework.renderers.{name}" for name in API_RENDERERS],
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.rest.authentication.TenantJWTAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PARSER_CLASSES": [
        "realtime.rest.parsers.StrictJSONParser",
        "realtime.rest.parsers.BoundedFormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "EXCEPTION_HANDLER": "realtime.rest.errors.exception_handler",
}

SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(seconds=ENV.access_token_lifetime_s),
    "REFRESH_TOKEN_LIFETIME": timedelta(seconds=ENV.refresh_token_lifetime_s),
    "ROTATE_REFRESH_TOKENS": True,
    "BLACKLIST_AFTER_ROTATION": True,
    "UPDATE_LAST_LOGIN": False,
    "CHECK_REVOKE_TOKEN": False,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Rockstar",
    "DESCRIPTION": "Tokens, tickets and metrics. The WebSocket endpoints are in docs/protocol.md.",
    "VERSION": "0.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

# Sockets (realtime/conf.py explains each setting)

TOPIC_RULES = {
    "": TopicRule(),
    "members": TopicRule(subscribe=members, publish=publishing_members),
    # The chat tells a user here about rooms, with their names: operators may tell the user something, and not read.
    "user": TopicRule(subscribe=owner, publish=nobody, operator="publish"),
    "staff": TopicRule(subscribe=staff, publish=staff),
    **ROOM_TOPICS,
}

FILE_BYTES_MAX: int = ENV.chat_files["file_bytes_max"]

REALTIME = {
    "TOPIC_RULES": TOPIC_RULES,
    # A file and its form, with room for a file that is too large, so that the answer can say so.
    "HTTP_BODY_BYTES_AT": dict.fromkeys(
        ("/api/chat/files", "/api/chat/profile/picture"), FILE_BYTES_MAX and FILE_BYTES_MAX + 1024 * 1024
    ),
    "REDIS_URL": ENV.redis_url,
    "METRICS_TOKEN": ENV.metrics_token,
    "HTTPS": ENV.https,
    **ENV.realtime,
}

# Pages

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "var" / "static"
STATICFILES_STORAGE_BACKEND = (
    "django.contrib.staticfiles.storage.StaticFilesStorage"
    if DEBUG
    else "rockstar_site.static_files.LeanStaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATICFILES_STORAGE_BACKEND},
    # Private: served by chat/rest/files.py to users who may see the message.
    "chat": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {
            "location": ENV.chat_files_dir,
            "file_permissions_mode": 0o600,
            "directory_permissions_mode": 0o700,
        },
    },
}
SERVESTATIC_USE_FINDERS = True
# In a checkout realtime/static/realtime/client is a link to the source of the npm package. Nothing but this repository
# puts files where the finders look.
SERVESTATIC_ALLOW_UNSAFE_SYMLINKS = True

# Limits of the chat's files (chat/files/settings.py explains each).
CHAT_FILES = ENV.chat_files
# Delete expired rows and files, index new texts and forget deleted ones. Called one after the other about once a
# minute; each returns whether some are left.
SWEEPS = [
    "accounts.credentials.sweeps.sweep",
    "chat.files.services.sweep",
    "chat.search.index.catch_up",
    "chat.search.index.forget",
    "chat.messages.numbering.sweep",
]

LOGGING = log_settings(ENV.log_format, ENV.log_level)
