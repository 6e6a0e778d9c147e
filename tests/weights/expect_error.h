#pragma once
// Errors are part of the interface: their code, and the words that tell a person what is wrong.
#include <limpid/runtime/error.h>

#include <gtest/gtest.h>

#include <string>

namespace limpid::testing {

/// Expects that f() throws limpid::Error with this code and a message that contains `words`.
template <class F>
void expect_error(ErrorCode code, const std::string& words, F&& f) {
  try {
    f();
    ADD_FAILURE() << "nothing was thrown; expected: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.code()), static_cast<int>(code)) << error.what();
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << "the message is: " << error.what() << "\nwithout: " << words;
  }
}

}  // namespace limpid::testing
