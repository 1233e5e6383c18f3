# Sightline: one image, one command word per role. See docs/operations.md, "Container".
FROM python:3.11-slim-bookworm AS build
# Where torch comes from; empty: the default index. PyTorch's own indexes have builds for cpu and for each CUDA version.
ARG TORCH_INDEX=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/sightline
ENV PATH=/opt/sightline/bin:$PATH
WORKDIR /src
COPY constraints.txt ./
RUN pip install ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)"
COPY pyproject.toml README.md ./
COPY cds cds
COPY adapters adapters
COPY models models
RUN pip install --constraint constraints.txt .

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin sightline \
    && install -d -o sightline -g sightline -m 0700 /data
COPY --from=build /opt/sightline /opt/sightline
ENV PATH=/opt/sightline/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    CDS_DATA_DIR=/data
USER sightline
WORKDIR /data
VOLUME /data
# Web, pages, HL7 v2, DICOM. Every role binds to loopback until authentication for its wire is configured.
EXPOSE 8080 8081 2575 11112
HEALTHCHECK --interval=30s --timeout=5s --start-period=90s --retries=3 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('CDS_HTTP_PORT', '8080') + '/health/live', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["cds"]
CMD ["serve"]
