#!/usr/bin/env bash
# The programs that some tests run and pip cannot install: Chromium reads the report, nginx is the pod's gateway,
# Prometheus checks its rules and scrapes a server, kubectl (or kustomize) renders the manifests.
# As root they are installed by apt; otherwise this names what is missing and exits with 1.
set -euo pipefail

# The same places that the tests look in: Debian puts nginx where a user's PATH does not reach.
PATH="$PATH:/usr/sbin"

declare -A package_of=([chromium]=chromium [nginx]=nginx-light [prometheus]=prometheus [promtool]=prometheus)
packages=()
for program in chromium nginx prometheus promtool; do
    command -v "$program" >/dev/null || packages+=("${package_of[$program]}")
done

missing_message() {
    echo "The tests need programs that are not installed: $*." >&2
}

if [ ${#packages[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        missing_message "${packages[*]}"
        echo "Install these packages (names are Debian's) and run make test-tools again." >&2
        exit 1
    fi
    # Debian starts a service as soon as it is installed; 101 is its own way to say no.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod +x /usr/sbin/policy-rc.d
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install --yes -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

if ! command -v kubectl >/dev/null && ! command -v kustomize >/dev/null; then
    missing_message "kubectl or kustomize"
    echo "Debian has neither in a version that knows components: see https://kubernetes.io/docs/tasks/tools/." >&2
    exit 1
fi
