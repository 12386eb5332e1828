# Two stages: the first installs into /opt/gateway-hub, the second is what runs.
FROM python:3.13-slim AS build

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

WORKDIR /build
COPY requirements.txt ./
# Every file that is downloaded is checked against its hash, also what builds the wheel.
RUN python -m venv /opt/gateway-hub \
 && /opt/gateway-hub/bin/pip install --require-hashes -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY alembic ./alembic
RUN /opt/gateway-hub/bin/pip install --no-deps --no-build-isolation . \
 && /opt/gateway-hub/bin/pip uninstall --yes pip


FROM python:3.13-slim

LABEL org.opencontainers.image.title="gateway-hub" \
      org.opencontainers.image.description="SMS gateway hub for Android phones" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN groupadd --gid 10001 gateway-hub \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data gateway-hub \
 && install --directory --owner=10001 --group=10001 --mode=0700 /data

COPY --from=build /opt/gateway-hub /opt/gateway-hub

ENV PATH=/opt/gateway-hub/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    GATEWAY_HUB_HOST=0.0.0.0 \
    GATEWAY_HUB_PORT=8080 \
    GATEWAY_HUB_DATA_DIR=/data

WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 \
    CMD ["gateway-hub", "doctor", "--ready"]
ENTRYPOINT ["gateway-hub"]
CMD ["serve"]
