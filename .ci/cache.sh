# The clone that CI keeps between runs; read by .ci/run.
# shellcheck shell=bash

# A clone with more than this begins from nothing: artifacts of old compilers and dependencies are never removed by cargo.
MAX_CACHE_GIB=24

# cached_clone CACHE CHECKOUT: brings CACHE/clone to CHECKOUT's HEAD and prints its path. Fails, with the reason on
# standard error, where there is no such folder to be had or another run holds it.
cached_clone() {
    local cache=$1 checkout=$2 clone=$1/clone commit used
    has_room() { [ "$(df --output=avail -k "$1" | tail -1)" -gt $((12 * 1024 * 1024)) ]; }
    {
        [ "$cache" != none ] && mkdir -p "$cache" || return 1
        exec 8>"$cache/lock"
        flock --nonblock 8 || { echo "another run holds $cache"; return 1; }
        used=$(du -s --block-size=1G "$cache" 2>/dev/null | cut -f1)
        [ "${used:-0}" -le $MAX_CACHE_GIB ] || rm -rf "$clone"
        has_room "$cache" || [ -d "$clone" ] || { echo "too little room for $cache"; return 1; }
        commit=$(git -C "$checkout" rev-parse HEAD) || return 1
        for _ in once again; do
            [ -d "$clone/.git" ] || { rm -rf "$clone"; git clone --quiet --no-checkout "$checkout" "$clone" || return 1; }
            if git -C "$clone" fetch --quiet "$checkout" HEAD && git -C "$clone" checkout --quiet --force --detach "$commit" &&
                git -C "$clone" clean --quiet -ffdx --exclude=/target; then break; fi
            rm -rf "$clone"
        done
        [ "$(git -C "$clone" rev-parse HEAD)" = "$commit" ] || return 1
        # Products and notes of an earlier run prove nothing of this one.
        rm -rf "$clone"/target/board/{aarch64,armv7,armv6,x86_64,x86_64-small,deb,image,pages} "$clone/target/skipped"
        # What the models of ../shared are found by.
        rm -f "$cache/shared"
        [ ! -d "$checkout/../shared" ] || ln -s "$(cd "$checkout/../shared" && pwd)" "$cache/shared"
        exec 8>&-
    } >&2
    printf '%s\n' "$clone"
}
