#!/usr/bin/env bash
# The programs that the tests drive and pip cannot bring. Installs what is missing where it may (root, apt-get);
# elsewhere it names the packages and fails.
set -euo pipefail

declare -A package_of=(
  [chromium]=chromium [ip]=iproute2 [openssl]=openssl [rabbitmq-server]=rabbitmq-server [redis-server]=redis-server
)

missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
if [ "${#missing[@]}" -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "The tests need ${missing[*]}, which is not installed. On Debian: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
echo "Installing ${missing[*]} ..."
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
