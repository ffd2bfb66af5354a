# Two images from one file. `grpc_server` holds the whole product; `rest_bridge` only what the bridge imports: no scikit-learn.
# pyproject.toml lists their packages (`dependencies`, and the group `bridge`), constraints.txt the versions.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS build
ENV PATH=/build/pip/bin:$PATH \
    PIP_CONSTRAINT=/build/constraints.txt \
    PIP_BUILD_CONSTRAINT=/build/constraints.txt \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY constraints.txt pyproject.toml README.md ./
# A pip with `--group` and `--only-deps` installs into the environment from outside, and is not copied to the image.
RUN python -m venv /build/pip \
    && pip install --quiet pip==26.3 \
    && python -m venv --without-pip /opt/foretell

FROM build AS grpc_server_build
# More formats than scikit-learn's: `fast` for what `foretell init` accelerates, `xgboost`, `lightgbm`, or several.
ARG EXTRAS="fast"
RUN pip --python /opt/foretell/bin/python install --quiet --only-deps "./${EXTRAS:+[$EXTRAS]}"
COPY . .
RUN pip --python /opt/foretell/bin/python install --quiet --no-deps .

FROM build AS rest_bridge_build
RUN pip --python /opt/foretell/bin/python install --quiet --group=bridge
COPY . .
RUN pip --python /opt/foretell/bin/python install --quiet --no-deps .

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.vendor="Foretell" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="0.1.0"
ENV PATH=/opt/foretell/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FORETELL_PROTOS=/srv/protos
WORKDIR /srv
COPY protos protos
# A number, so that Kubernetes can verify that it is not root. It owns nothing in the image.
USER 10001:10001
STOPSIGNAL SIGTERM

FROM runtime AS grpc_server
LABEL org.opencontainers.image.title="Foretell gRPC server" \
      org.opencontainers.image.description="Serves trained models over gRPC by the rules of their contract."
COPY --from=grpc_server_build /opt/foretell /opt/foretell
ENV FORETELL_MODELS=/srv/models \
    FORETELL_GRPC_ADDRESS=0.0.0.0:50051
EXPOSE 50051
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "\
    import os, sys, grpc; \
    from grpc_health.v1 import health_pb2, health_pb2_grpc; \
    port = os.environ['FORETELL_GRPC_ADDRESS'].rpartition(':')[2]; \
    channel = grpc.insecure_channel('127.0.0.1:' + port, [('grpc.enable_http_proxy', 0)]); \
    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=3); \
    sys.exit(answer.status != health_pb2.HealthCheckResponse.SERVING)"]
CMD ["python", "-m", "grpc_server"]

FROM runtime AS rest_bridge
LABEL org.opencontainers.image.title="Foretell REST bridge" \
      org.opencontainers.image.description="Serves a contract as JSON over HTTP, and calls the gRPC server."
COPY --from=rest_bridge_build /opt/foretell /opt/foretell
ENV FORETELL_HTTP_ADDRESS=0.0.0.0:8000
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", "\
    import http.client, os, sys; \
    port = os.environ['FORETELL_HTTP_ADDRESS'].rpartition(':')[2]; \
    connection = http.client.HTTPConnection('127.0.0.1', int(port), timeout=3); \
    connection.request('GET', '/readyz'); \
    sys.exit(connection.getresponse().status != 200)"]
CMD ["python", "-m", "rest_bridge"]
