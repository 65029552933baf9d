#!/bin/sh
# Runs what the host asks for, one command after the other.
#
# in   lines of a number, seconds, and a shell script in base64
# out  for each a line of the number, the exit status (124: the seconds were over), and what the
#      script wrote, in base64
set -u
mkdir -p /run/system-test
cd /run/system-test || exit 1
echo ready
while read -r number seconds script; do
    echo "$script" | base64 --decode > script
    timeout --kill-after=5 "$seconds" sh script < /dev/null > output 2>&1
    status=$?
    echo "$number $status $(base64 --wrap=0 output)"
done
