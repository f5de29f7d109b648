# Sourced: builds tools from released Go modules into build/tools, once.
tools=$PWD/build/tools
prometheus_release=v0.316.0 # 3.16.0
mkdir -p "$tools"

built() { # NAME MODULE PACKAGE VERSION [FLAG...]
    local program=$tools/$1-$4
    [ -x "$program" ] && return
    echo "building $2/$3@$4"
    GOBIN=$tools/bin GOTOOLCHAIN=auto GOFLAGS=-buildvcs=false nice go install "${@:5}" "$2/$3@$4"
    mv "$tools/bin/$(basename "$3")" "$program"
}
