#!/bin/bash
# A kitchen in a shell script: joins a dark launch with amqp-tools and jq, by docs/asyncapi.yaml.
#
#   apt-get install amqp-tools jq
#   AMQP_URL=amqp://guest:guest@127.0.0.1:5672/ docs/examples/kitchen.sh
#
# Its result has the fields of vlatest (RestaurantResult in docs/asyncapi.yaml), and agrees with it on
# everything that is on the menu, but for the cook.
#
# First make it a version of the launch (in the admin): the relay then declares its queue, and
# until then this script waits for it.
# amqp-consume hands over an order's body and none of its headers, so the launch is not said: the
# observer knows each order's own. LAUNCH=<the launch's id> may be given.
set -euo pipefail

AMQP_URL="${AMQP_URL:-amqp://guest:guest@127.0.0.1:5672}"
export AMQP_URL="${AMQP_URL%/}" # to amqp-tools, a last slash would name the virtual host ""
export VERSION="${VERSION:-vshell}" ROLE="${ROLE:-candidate}" LAUNCH="${LAUNCH:-}"

for tool in jq amqp-consume amqp-publish; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install amqp-tools jq" >&2; exit 1; }
done

publish() { # EXCHANGE ROUTING_KEY [HEADER]; the body is read from standard input
  amqp-publish --url="$AMQP_URL" --exchange="$1" --routing-key="$2" ${3:+--header="$3"} \
    --content-type=application/json --persistent
}

# The order on standard input becomes an event, or nothing when it is no order.
cook() {
  jq --compact-output --exit-status \
    --arg received_at "$(date --utc +%Y-%m-%dT%H:%M:%S.%6NZ)" --arg start "$EPOCHREALTIME" \
    --arg event_id "$(cat /proc/sys/kernel/random/uuid)" --arg worker "$HOSTNAME:$$" '
    def station:
      if test("fries|rings") then "fryer"
      elif test("soda|lemonade|shake") then "drinks"
      elif test("sundae|brownie") then "desserts"
      else "grill" end;
    select(.id and (.items | length > 0)) | {
      event_id: $event_id, kind: "handled", order_id: .id,
      launch: (env.LAUNCH | if . == "" then null else . end),
      version: env.VERSION, role: env.ROLE, build: "kitchen.sh", worker: $worker,
      placed_at: .placed_at, received_at: $received_at,
      result: {
        lines: [.items[] | {
          name, quantity, station: (.name | station), minutes: (.quantity * .preparation_time)
        }],
        note: .note, total_price: .total_price, estimated_minutes: .total_prep_time,
        actual_minutes: (.total_prep_time * 10 / 9 | round), cook: "jq"
      },
      error: null,
      finished_at: (now | "\(strftime("%Y-%m-%dT%H:%M:%S")).\(. * 1e6 % 1e6 | floor | tostring
        | ("000000" + .)[-6:])Z"),
      handling_ms: ((now - ($start | tonumber)) * 1000 | if . < 0 then 0 else . end)
    }'
}

if [ "${1:-}" = one-order ]; then # run by amqp-consume, which acknowledges when this exits 0
  order=$(cat)
  if event=$(cook <<<"$order" 2>/dev/null); then
    publish kitchen.events "$ROLE.$VERSION" <<<"$event"
  else
    publish orders.dead "kitchen.$VERSION" "x-reason: not an order" <<<"$order"
  fi
else
  trap 'kill "$consumer"; exit' TERM INT
  while true; do
    amqp-consume --url="$AMQP_URL" --queue="kitchen.$VERSION" --prefetch-count=10 \
      "$0" one-order &
    consumer=$!
    wait "$consumer" && break
    echo "no broker, or no queue kitchen.$VERSION: does the open launch name $VERSION?" >&2
    sleep 1
  done
fi
