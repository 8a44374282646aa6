# curl fetches from Python's server, over loopback.
mkdir -p "${STORY_DIRECTORY:-.}" && cd "${STORY_DIRECTORY:-.}"
mkdir -p www && seq 10000 > www/numbers
: > server.out
python3 -u -m http.server 0 --bind 127.0.0.1 --directory www > server.out 2> /dev/null &
server=$!
for try in $(seq 100); do
    port=$(sed -n 's/.*port \([0-9]*\).*/\1/p' server.out)
    [ -n "$port" ] && break
    sleep 0.05
done
curl -s "http://127.0.0.1:$port/numbers" | sha256sum
curl -s -r 10-20 -o /dev/null -w '%{http_code} %{size_download}\n' "http://127.0.0.1:$port/numbers"
curl -s -o /dev/null -w '%{http_code}\n' "http://127.0.0.1:$port/absent"
for n in 1 2 3 4; do curl -s "http://127.0.0.1:$port/numbers" | wc -l & done
wait %2 %3 %4 %5
kill $server
wait $server
echo $?
