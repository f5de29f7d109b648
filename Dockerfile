# syntax=docker/dockerfile:1
# Two images from one file:
#   docker build --target cpu  --tag headstart:0.1.0 .
#   docker build --target cuda --tag headstart:0.1.0-cuda .
# Both run `headstart serve` as user 10001 with a read-only root: they write to /var/lib/headstart, /tmp and /dev/shm alone.

FROM python:3.11.14-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1
WORKDIR /src

# The package alone, so that a change of the code leaves the layers with torch as they are.
FROM base AS wheel
COPY pyproject.toml README.md ./
COPY client client
COPY server server
RUN pip wheel --no-deps --wheel-dir /wheels .

FROM base AS cpu-packages
COPY docker/constraints.txt pyproject.toml ./
RUN python -m venv /opt/headstart \
    && /opt/headstart/bin/pip install --constraint constraints.txt \
        --index-url https://download.pytorch.org/whl/cpu torch torchvision
COPY --from=wheel /wheels /wheels
RUN /opt/headstart/bin/pip install --constraint constraints.txt "$(echo /wheels/headstart-*.whl)[server,gbm,sweep,adapters,ray,s3,gcs,postgres,oidc,telemetry]"

FROM base AS cuda-packages
COPY docker/constraints.txt pyproject.toml ./
RUN python -m venv /opt/headstart \
    && /opt/headstart/bin/pip install --constraint constraints.txt torch torchvision
COPY --from=wheel /wheels /wheels
RUN /opt/headstart/bin/pip install --constraint constraints.txt "$(echo /wheels/headstart-*.whl)[server,gbm,sweep,adapters,ray,s3,gcs,postgres,oidc,telemetry]"

FROM base AS runtime
# torch.compile on CPUs and Triton on GPUs build with a C compiler; without one, compile is not chosen.
RUN groupadd --gid 10001 headstart \
    && useradd --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin headstart \
    && install --directory --owner 10001 --group 10001 /var/lib/headstart
ENV PATH=/opt/headstart/bin:$PATH \
    HOME=/tmp \
    HEADSTART_STATE_DIR=/var/lib/headstart \
    HF_HOME=/var/lib/headstart/huggingface \
    TORCH_HOME=/var/lib/headstart/torch
WORKDIR /
USER 10001:10001
VOLUME ["/var/lib/headstart"]
EXPOSE 50051 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["headstart"]
CMD ["serve"]

FROM runtime AS cuda
COPY --from=cuda-packages /opt/headstart /opt/headstart

FROM runtime AS cpu
COPY --from=cpu-packages /opt/headstart /opt/headstart
