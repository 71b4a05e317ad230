# syntax=docker/dockerfile:1
#
# The operator's image: the binary, CA certificates and the C library, as user 65532; nothing is written to its disk.
# Not built where it was written (there was no container engine): the first build may find what we could not.
#
#   docker build -t registry.example/yardmaster:0.1.0 .

# Both stages are Debian 12, so the C library that was linked against is the one that is there.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# rust:slim brings the C compiler that aws-lc-rs needs.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package yardmaster --bin yardmaster \
    && install -D target/release/yardmaster /out/yardmaster

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/yardmaster /usr/local/bin/yardmaster
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/yardmaster"]
CMD ["run"]
