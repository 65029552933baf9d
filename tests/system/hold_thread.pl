# Makes one thread stand still while the rest of its process runs on, as a hung driver would.
#
# in   the thread's number (root)
# out  nothing; the thread stands until this ends. perl, because every Debian has it.
use strict;
use warnings;

my $thread = shift or die "which thread?\n";
# ptrace(2): SEIZE attaches without stopping, INTERRUPT stops that thread alone.
my %number = ( x86_64 => 101, aarch64 => 117 );
chomp( my $machine = `uname --machine` );
my $ptrace = $number{$machine} // die "ptrace's number on $machine is not known here\n";
for my $request ( 0x4206, 0x4207 ) {
    my $done = syscall( $ptrace, $request, $thread + 0, 0, 0 );
    die "ptrace: $!\n" if $done != 0;
}
# Whoever holds a thread must also take note of its end (__WALL), or its process never goes.
while ( waitpid( $thread, 0x40000000 ) > 0 ) { }
