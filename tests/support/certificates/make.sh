#!/bin/sh
# Makes the certificates beside it anew: two authorities that do not know each
# other, and the servers and the client that they vouch for.
set -eu
cd "$(dirname "$0")"

days=36500
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

new_key() { # name
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2>/dev/null
}

authority() { # name, common name
  new_key "$1"
  openssl req -x509 -new -key "$1.key" -sha256 -days "$days" -out "$1.crt" \
    -subj "/CN=$2" \
    -addext "basicConstraints=critical,CA:TRUE" \
    -addext "keyUsage=critical,keyCertSign,cRLSign"
}

# The verifier of Deno wants version 3, no CA flag and a subject alternative
# name on the certificate of a server: it never reads the common name.
leaf() { # name, authority, common name, extended key usage, alternative names
  new_key "$1"
  openssl req -new -key "$1.key" -subj "/CN=$3" -out "$scratch/$1.csr"
  {
    echo "basicConstraints=critical,CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=$4"
    echo "subjectAltName=$5"
  } >"$scratch/$1.ext"
  openssl x509 -req -in "$scratch/$1.csr" -CA "$2.crt" -CAkey "$2.key" \
    -set_serial "0x$(openssl rand -hex 8)" -sha256 -days "$days" \
    -extfile "$scratch/$1.ext" -out "$1.crt" 2>/dev/null
}

names="DNS:localhost,DNS:redis.test,IP:127.0.0.1,IP:::1"

authority ca "Test authority"
leaf server ca "Test server" serverAuth "$names"
leaf wrong_host ca "Test server of another name" serverAuth "DNS:elsewhere.test"
leaf client ca "Test client" clientAuth "DNS:client.test"

authority unknown_ca "Unknown authority"
leaf unknown_server unknown_ca "Server of an unknown authority" serverAuth "$names"

# Both authorities have signed all that they ever will.
rm ca.key unknown_ca.key
