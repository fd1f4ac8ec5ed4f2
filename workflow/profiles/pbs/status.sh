#!/bin/sh
# The state of a job of PBS, in the words of Snakemake: running, success or failed.
state=$(qstat -x -f -F json "$1" 2>/dev/null) || { echo running; exit; }  # the server may be away
case "$(printf %s "$state" | sed -n 's/.*"job_state": *"\(.\)".*/\1/p')" in
  F) case "$(printf %s "$state" | sed -n 's/.*"Exit_status": *\(-\{0,1\}[0-9]*\).*/\1/p')" in 0) echo success ;; *) echo failed ;; esac ;;
  *) echo running ;;
esac
