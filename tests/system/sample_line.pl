# Looks at a simulated GPIO line a thousand times a second, and writes each change into the kernel's trace.
#
# in   the line's file in sysfs (gpio-sim: …/sim_gpioN/value)
# out  "level 0" or "level 1" in the trace, the first for what is found at the start; there they stand
#      beside the kernel's own events, on one clock. perl, because every Debian has it.
use strict;
use warnings;

my $file = shift or die "which file?\n";
open my $line, '<', $file or die "$file: $!\n";
open my $trace, '>', '/sys/kernel/tracing/trace_marker' or die "trace_marker: $!\n";
my $before = '';
while (1) {
    sysseek $line, 0, 0;
    sysread( $line, my $level, 1 ) or die "$file: $!\n";
    syswrite $trace, "level $level\n" if $level ne $before;
    $before = $level;
    select undef, undef, undef, 0.001;
}
