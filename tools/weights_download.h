#pragma once
// A download as the user sees it.
#include <limpid/weights/catalogue.h>

#include <filesystem>
#include <string>

/// Says what comes from where and how much, shows a bar, and returns the file's path. Throws as limpid::fetch does.
std::filesystem::path download_weights(const limpid::PublishedWeights& weights, bool quiet);

/// "ResNet50_Weights.IMAGENET1K_V2 of torchvision, 80.9 % top-1"
std::string description_of(const limpid::PublishedWeights& weights);
