"""Django's settings; what differs between machines comes from ``environment.py``."""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from kitchen_worker.amqp.settings import WrongSettings
from restaurant.checks import cannot_start
from restaurant.environment import BASE_DIR, Door, Environment
from restaurant.log_filters import without_traceback

try:
    ENVIRONMENT = Environment.from_environ(os.environ)
except WrongSettings as wrong:
    # No process starts, the ASGI server included, and none shows a traceback.
    print(cannot_start(wrong.problems), file=sys.stderr)
    sys.exit(os.EX_CONFIG)

SECRET_KEY = ENVIRONMENT.secret_key
DEBUG = ENVIRONMENT.debug
ALLOWED_HOSTS = list(ENVIRONMENT.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENVIRONMENT.csrf_trusted_origins)
CSRF_FAILURE_VIEW = "restaurant.origins.refused_form"
#: For URLs that are made outside of a request, too.
FORCE_SCRIPT_NAME = ENVIRONMENT.path_prefix or None
BOARD_PUBLIC = ENVIRONMENT.board_public

#: Customers do not log in: their door has no sessions, and nothing of the dashboard's.
_HAS_DASHBOARD = ENVIRONMENT.door is not Door.CUSTOMERS

#: Its app is for `runserver` only, and takes a third of every other command's start time.
_RUNSERVER = ["daphne"] if "runserver" in sys.argv[1:2] else []

_STAFF_APPS = [
    "dashboard",
    "django.contrib.admin",
    "django.contrib.sessions",
    "django.contrib.messages",
    "axes",
]

INSTALLED_APPS = [
    *_RUNSERVER,
    "restaurant",
    *(_STAFF_APPS if _HAS_DASHBOARD else ()),
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "django_htmx",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "restaurant.content_security.content_security_policy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
    "restaurant.thread_pools.in_one_thread",
]
_STAFF_MIDDLEWARE = (
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
)
if not _HAS_DASHBOARD:
    MIDDLEWARE = [one for one in MIDDLEWARE if one not in _STAFF_MIDDLEWARE]

ROOT_URLCONF = "restaurant.urls"
ASGI_APPLICATION = "restaurant.asgi.application"

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
            ],
        },
    },
]

DATABASES = ENVIRONMENT.databases
DATABASE_ROUTERS = ["dashboard.database.Router"] if _HAS_DASHBOARD else []
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTHENTICATION_BACKENDS = [
    *(["axes.backends.AxesStandaloneBackend"] if _HAS_DASHBOARD else ()),
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = ENVIRONMENT.login_failures
AXES_COOLOFF_TIME = timedelta(seconds=ENVIRONMENT.login_lock_s)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_CALLABLE = "restaurant.visitors.locked_out"
#: Attempts while it is locked don't extend the lock.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True
#: A password typed as a name must not be in the log; the address must.
AXES_SENSITIVE_PARAMETERS = ["username"]
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "board"
# A form may not lead to another site, the other door included (Content-Security-Policy).
LOGOUT_REDIRECT_URL = "login" if ENVIRONMENT.door is Door.DASHBOARD else "menu"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = False
USE_TZ = True

STATIC_URL = f"{ENVIRONMENT.path_prefix}/static/"
STATIC_ROOT = ENVIRONMENT.static_root
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

# Two doors may be two ports of one host, which share their cookies.
_PREFIX = "" if ENVIRONMENT.door is Door.BOTH else f"{ENVIRONMENT.door}_"
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = f"{_PREFIX}sessionid", f"{_PREFIX}csrftoken"
# Sites below other paths of the same host have their own.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = f"{ENVIRONMENT.path_prefix}/"

# The HTTPS profile: one setting for all of it.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = ENVIRONMENT.https
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if ENVIRONMENT.https else None
SECURE_HSTS_SECONDS = 365 * 24 * 60 * 60 if ENVIRONMENT.https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = ENVIRONMENT.https
#: Probes come straight to the process, by HTTP.
SECURE_REDIRECT_EXEMPT = [r"^api/(health|ready)$"]
#: Joining the browsers' preload lists is up to the domain's owner; leaving them takes months.
SILENCED_SYSTEM_CHECKS = ["security.W021"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {
        "refusals": {"()": "django.utils.log.CallbackFilter", "callback": without_traceback},
    },
    "formatters": {"line": {"format": "%(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": ENVIRONMENT.log_level},
    "loggers": {
        # A broker restart should be one log line of ours, not a traceback per channel.
        "aio_pika": {"level": "CRITICAL"},
        "aiormq": {"level": "CRITICAL"},
        "daphne": {"level": "WARNING"},
        # Failed logins only.
        "axes": {"level": "WARNING"},
        "django.channels.server": {"level": "WARNING"},
        "django.request": {"filters": ["refusals"]},
        # CSRF_FAILURE_VIEW says it, with what to change.
        "django.security.csrf": {"level": "ERROR"},
    },
}
