# One image for every process; which one runs is its command:
#   site      python -m daphne -b 0.0.0.0 -p 8000 restaurant.asgi:application   (the default)
#   relay     python manage.py relay
#   observer  python manage.py observe
#   kitchen   python -m kitchen_worker --version vlatest --role control

FROM python:3.11.16-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# Wheels only, each held to its hash: nothing is compiled, so no compiler is ever installed.
# The environment is made without pip, and so the image ships none in it.
COPY requirements.txt /build/
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install \
        --require-hashes --only-binary=:all: --requirement /build/requirements.txt

ENV PATH=/venv/bin:$PATH \
    STATIC_ROOT=/srv/static

WORKDIR /app
COPY manage.py ./
COPY kitchen_worker kitchen_worker
COPY restaurant restaurant
COPY dashboard dashboard
COPY templates templates
COPY static static
# Compiled here, because the running container writes nothing beside its code.
RUN SECRET_KEY=of-the-build-alone python manage.py collectstatic --noinput \
 && python -m compileall -q /app


FROM python:3.11.16-slim-bookworm

RUN groupadd --gid 10001 kitchen \
 && useradd --uid 10001 --gid kitchen --no-create-home --home-dir /tmp --shell /usr/sbin/nologin kitchen

COPY --from=build /venv /venv
COPY --from=build /srv/static /srv/static
COPY --from=build /app /app

# What the kitchens write into their events as the code they ran: git:1a2b3c
ARG BUILD=unknown
ENV BUILD=$BUILD \
    DJANGO_SETTINGS_MODULE=restaurant.settings \
    HEALTH_HOST=0.0.0.0 \
    HOME=/tmp \
    PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    STATIC_ROOT=/srv/static

WORKDIR /app
# By number, so that Kubernetes can see for itself that it is not root.
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "daphne", "-b", "0.0.0.0", "-p", "8000", "restaurant.asgi:application"]
