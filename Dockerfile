# headswap as a container: TorchServe in the foreground, unprivileged, on a read-only root.
#
#   docker build -t headswap .
#   docker build -t headswap --build-arg WHEEL_INDEX=https://download.pytorch.org/whl/cpu .    slim CPU wheels
#   docker build -t headswap --build-arg WITH_RAY=1 .                                           for deploy/ray too
#   docker build -t headswap --build-arg BASE_IMAGE=nvidia/cuda:13.0.1-runtime-ubuntu24.04 .   another base
#
# Any Debian or Ubuntu base with Python 3.11 or newer works, for GPUs too: the torch wheels include CUDA.
ARG BASE_IMAGE=python:3.12-slim

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS base
# tini reaps the workers and forwards signals. Python comes from the distribution if the base has none.
# Package versions are not pinned, because that breaks the build at every security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates tini \
    && { python3 -c "import ensurepip, venv" 2>/dev/null \
         || apt-get install --yes --no-install-recommends python3 python3-venv; } \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -c "import sys; sys.exit(sys.version_info < (3, 11) and 'this base has a Python older than 3.11')" \
    && useradd --uid 10001 --no-create-home --home-dir /state --shell /usr/sbin/nologin headswap \
    && mkdir /model_store /state && chown headswap:headswap /model_store /state \
    # KubeRay starts Ray in a login shell, which has a PATH of its own.
    && echo "export PATH=/opt/headswap/bin:\$PATH" > /etc/profile.d/headswap.sh

FROM base AS wheels
ARG WHEEL_INDEX=
ARG UV_VERSION=0.13.8
ARG WITH_RAY=
# Uses the certificates of the base image, so that a base with the CA of a company proxy works unchanged.
ENV UV_SYSTEM_CERTS=1 UV_LINK_MODE=copy
RUN python3 -m venv /opt/headswap && /opt/headswap/bin/pip install --no-cache-dir uv==${UV_VERSION}
WORKDIR /build
# Only the dependency lists, so that a change of code does not rebuild this layer of gigabytes.
# The cache mount keeps downloaded wheels for when one of the lists changes.
COPY requirements.txt requirements-page.txt requirements-ray.txt constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/uv \
    /opt/headswap/bin/uv pip install --compile-bytecode --python /opt/headswap/bin/python \
        ${WHEEL_INDEX:+--extra-index-url "${WHEEL_INDEX}" --index-strategy unsafe-best-match} \
        -r requirements.txt -r requirements-page.txt ${WITH_RAY:+-r requirements-ray.txt} -c constraints.txt

# Built on top of the wheels instead of copying them: the server needs everything in that layer, and with a copy
# podman reads all 6.7 GB again at every build (52 s instead of seconds, measured).
FROM wheels
LABEL org.opencontainers.image.title="headswap" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.description="Serves fine-tuned image classifiers and swaps versions without losing a request"
# Bytecode is compiled below and the root is read-only, so none is written at run time. `utility` provides
# nvidia-smi, without which TorchServe silently treats a GPU host as a CPU host.
ENV PATH=/opt/headswap/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HEADSWAP_CONFIG=/app/config.properties \
    HEADSWAP_MODEL_STORE=/model_store \
    HEADSWAP_STATE=/state
WORKDIR /app
# Writable: the archives with live.json, the tokens and logs of the running server, and /tmp.
VOLUME ["/model_store", "/state"]
EXPOSE 8080 7070 8082
# Healthy means that the live version just classified a known photo correctly.
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s CMD ["headswap", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "headswap"]
CMD ["serve", "--listen", "0.0.0.0"]
# The code comes last, in one step; .dockerignore excludes everything else.
COPY . .
# On the loopback of a container Prometheus could not scrape the metrics; compose.yaml does not publish the port.
RUN uv pip install --no-cache --no-deps --no-build-isolation --python /opt/headswap/bin/python --editable . \
    && python3 -m serving.stubs \
    && python3 -m compileall -q . \
    && sed -i "s|^metrics_address=.*|metrics_address=http://0.0.0.0:8082|" config.properties
# The commit: docker build --build-arg REVISION=$(git rev-parse HEAD)
ARG REVISION=
LABEL org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
