# Two targets: `development` rebuilds the mounted source on change, `production` holds
# the binary alone. Works with the classic builder, which builds every stage up to the
# target: so the cheap one comes first.
#
#   docker build --network host --target production -t teamai:local .

FROM rust:1-bookworm AS base
WORKDIR /src
# Queries are checked against .sqlx: no build needs a database.
ENV SQLX_OFFLINE=true


FROM base AS development
ENV CARGO_TARGET_DIR=/target \
    CARGO_HOME=/cargo \
    PATH=/target/debug:$PATH \
    TEAMAI_HTTP__BIND=0.0.0.0:8000
RUN useradd --uid 10001 --create-home teamai \
    && mkdir -p /target /cargo \
    && chown teamai: /target /cargo /src
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# The source is mounted at /src; the first start compiles everything.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20m --retries=6 CMD ["/target/debug/teamai", "healthcheck"]
ENTRYPOINT ["sh", "/src/scripts/watch.sh"]
CMD ["serve"]


# The dependencies alone, so that a change of the source does not compile them again.
FROM base AS dependencies
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/architecture tests/integration \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs tests/architecture/main.rs tests/integration/main.rs \
    && cargo build --release --locked


FROM dependencies AS build
COPY . .
# The copies may be older than the empty files they replace; cargo goes by age.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin teamai


FROM debian:bookworm-slim AS production
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin teamai
COPY --from=build /src/target/release/teamai /usr/local/bin/teamai
COPY recipes /usr/share/teamai/recipes
USER 10001
WORKDIR /
ENV TEAMAI_HTTP__BIND=0.0.0.0:8000
EXPOSE 8000
# Stop claiming, finish within 25 s, hand the rest back, exit 0.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["teamai", "healthcheck"]
ENTRYPOINT ["teamai"]
CMD ["serve"]
