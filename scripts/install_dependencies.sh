#!/bin/sh
# Installs the Debian packages that limpid builds with, and those named as arguments, if any is missing. Needs root or sudo only then.
# ocl-icd-opencl-dev: oneDNN's package configuration asks for OpenCL, but the package only recommends it.
set -eu
packages="g++ make cmake ninja-build libdnnl-dev ocl-icd-opencl-dev libstb-dev nlohmann-json3-dev libcli11-dev libcurl4-openssl-dev libssl-dev ca-certificates libboost-context-dev libgtest-dev libbenchmark-dev"
missing=""
for package in $packages "$@"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
echo "Installing:$missing"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "These packages are missing and this is not root: apt-get install$missing" >&2; exit 1; }
  sudo=sudo
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends $missing
