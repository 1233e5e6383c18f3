#!/bin/sh
# The outside peers of `make test-peers`, from Debian's packages. Root is needed only where something is missing.
set -eu
missing=""
for pair in Orthanc:orthanc storescu:dcmtk dciodvfy:dicom3tools curl:curl node:nodejs npm:npm chromium:chromium chromedriver:chromium-driver; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so* >/dev/null 2>&1 || missing="$missing orthanc-dicomweb"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
if [ -n "$missing" ]; then
    become=""
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "Install these Debian packages first:$missing" >&2; exit 1; }
        become=sudo
    fi
    echo "Installing$missing"
    export DEBIAN_FRONTEND=noninteractive
    # Packages must not start servers of their own: the tests start theirs on free ports.
    [ -e /usr/sbin/policy-rc.d ] || { printf '#!/bin/sh\nexit 101\n' | $become tee /usr/sbin/policy-rc.d >/dev/null; $become chmod +x /usr/sbin/policy-rc.d; ours=yes; }
    $become apt-get update -qq
    # shellcheck disable=SC2086
    $become apt-get install -y -qq --no-install-recommends $missing >/dev/null
    [ "${ours:-}" != yes ] || $become rm -f /usr/sbin/policy-rc.d
fi
sh "$(dirname "$0")/fhir_server/install.sh"
sh "$(dirname "$0")/hl7_server/install.sh"
sh "$(dirname "$0")/axe/install.sh"
