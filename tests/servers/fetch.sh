#!/bin/sh
# Fetches a newer Redis or Valkey from a Debian suite, and leaves the system as it is:
# apt has a configuration and a state of its own, and nothing is installed.
#
#   fetch.sh <directory> <suite> <program>
#
# The program, which is called like its package, can be run afterwards as
# <directory>/<program>.
set -eu
umask 022

directory=$1
suite=$2
program=$3

die() {
  echo "fetch.sh: cannot fetch $program of Debian's $suite: $*" >&2
  exit 1
}

"$directory/$program" --version >/dev/null 2>&1 && exit 0

command -v apt-get >/dev/null 2>&1 || die "there is no apt-get"
# From the root, since apt takes relative directories to be below /var/.
rm -rf "$directory"
mkdir -p "$directory"
directory=$(CDPATH='' cd -- "$directory" && pwd)
log=$directory/log

# The mirror that this machine uses, whatever it is.
codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
mirror=$(apt-get indextargets --no-release-info \
  --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
  while read -r uri release component; do
    [ "$component" = main ] || continue
    case $release in
    "$codename" | oldstable | stable | testing | unstable | sid)
      echo "$uri"
      break
      ;;
    esac
  done)
[ -n "$mirror" ] || die "the lists of apt name no mirror of Debian"

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
options=
[ -f "$keyring" ] && options="[signed-by=$keyring] "
apt=$directory/apt
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources.d" "$apt/preferences.d"
echo "deb $options$mirror $suite main" >"$apt/sources.list"
: >"$apt/status"
cat >"$apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/sources.d";
Dir::Etc::preferencesparts "$apt/preferences.d";
Dir::Etc::preferences "$apt/preferences";
Dir::State "$apt";
Dir::State::lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::State::extended_states "$apt/extended_states";
Dir::Cache "$apt/cache";
APT::Sandbox::User "";
APT::Update::Pre-Invoke {};
APT::Update::Post-Invoke {};
APT::Update::Post-Invoke-Success {};
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::http::Timeout "30";
CONF
export APT_CONFIG=$apt/apt.conf

apt-get update >"$log" 2>&1 || die "apt-get update failed: $(cat "$log")"

# The server, the tools that it shares its program with, and their libraries,
# those of the C language included: the system's may be too old.
tools=${program%-server}-tools
libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts \
  --no-breaks --no-replaces --no-enhances "$tools" |
  grep -E '^(lib|zlib)[a-z0-9.+-]*$' | sort -u)
[ -n "$libraries" ] || die "apt-cache names no libraries of $tools"

mkdir "$directory/packages" "$directory/root"
# shellcheck disable=SC2086 # one word a library
(cd "$directory/packages" && apt-get download "$program" "$tools" $libraries) >"$log" 2>&1 ||
  die "apt-get download failed: $(cat "$log")"
for file in "$directory"/packages/*.deb; do
  dpkg-deb -x "$file" "$directory/root" || die "dpkg-deb could not unpack $file"
done
rm -rf "$apt" "$directory/packages" "$log"

# Relative, so that the directory may be moved.
loader=$(cd "$directory" && find root -name 'ld-linux*.so.*' -type f | head -n 1)
[ -n "$loader" ] || die "its C library has no loader"
cat >"$directory/$program.new" <<RUN
#!/bin/sh
here=\${0%/*}
exec "\$here/$loader" --library-path "\$here/${loader%/*}" "\$here/root/usr/bin/$program" "\$@"
RUN
chmod +x "$directory/$program.new"
"$directory/$program.new" --version >/dev/null || die "it does not run on this system"
mv "$directory/$program.new" "$directory/$program"
