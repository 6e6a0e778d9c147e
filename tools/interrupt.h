#pragma once
// Ctrl-C stops the run at its next chunk; pressed twice it kills.
#include <limpid/runtime/executable.h>

/// Lets SIGINT and SIGTERM raise the token below.
void watch_interrupts();

const limpid::CancelToken& cancel_token();

/// Throws Error(cancelled) once the token is raised: for the places between runs.
void stop_if_cancelled();
