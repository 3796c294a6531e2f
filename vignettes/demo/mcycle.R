# A Bayesian network for the head's acceleration in a motorcycle crash, from R.
#
# The same program as `mcycle.py`, line by line. Usage: Rscript mcycle.R FOLDER

library(layerapi)
library(ggplot2)

keras <- reticulate::import("keras")
numpy <- reticulate::import("numpy")
ops <- keras$ops

folder <- commandArgs(trailingOnly = TRUE)[1]
data <- MASS::mcycle # accelerometer readings after simulated impacts, Silverman (1985)
set.seed(1)
data$held_out <- as.integer(seq_len(nrow(data)) %in% sample(nrow(data), 33))
write.csv(data, file.path(folder, "data.csv"), row.names = FALSE)
train <- data[data$held_out == 0, ]
test <- data[data$held_out == 1, ]
n <- nrow(train)

scale <- 50 # accelerations in units of 50 g, about their standard deviation
centres <- numpy$linspace(0, 60, 20L)

# Twenty bumps along the time axis, so that a small network follows a winding curve.
features <- function(times) {
  distance <- (ops$convert_to_tensor(matrix(times), "float32") - centres) / 3
  ops$exp(-0.5 * ops$square(distance))
}

# The second output of the network, as a standard deviation.
deviation <- function(output) {
  ops$softplus(output) + 0.001
}

# Of a normal whose mean and standard deviation are the outputs, but for a constant.
negative_log_likelihood <- function(y, output) {
  mean <- ops$take(output, list(0L), axis = 1L)
  sd <- deviation(ops$take(output, list(1L), axis = 1L))
  ops$log(sd) + 0.5 * ops$square((y - mean) / sd)
}

keras$utils$set_random_seed(1L)
model <- keras$Sequential(list(keras$Input(list(20L))))
model %>%
  layer_dense_flipout(units = 10, activation = "relu", kl_weight = 1 / n) %>%
  layer_dense_flipout(units = 2, kl_weight = 1 / n)
decay <- keras$optimizers$schedules$CosineDecay(0.02, 3000L)
model$compile(optimizer = keras$optimizers$Adam(decay), loss = negative_log_likelihood)

# A batch holds every row four times: flipout draws other noise for every copy, so that the gradient
# is less noisy. An epoch is 150 such batches.
rows <- rep(seq_len(n), 4 * 150)
x <- ops$take(features(train$times), rows - 1L, axis = 0L)
y <- matrix(train$accel[rows]) / scale
history <- model$fit(x, y, epochs = 20L, batch_size = 4L * n, shuffle = FALSE, verbose = 0L)

# Return means, standard deviations and observations, drawn: arrays of draws x times.
predict_draws <- function(times, draws = 1000) {
  x <- ops$take(features(times), rep(seq_along(times), draws) - 1L, axis = 0L)
  outputs <- ops$convert_to_tensor(
    model$predict(x, batch_size = length(times), verbose = 0L), # each batch draws its weights
    "float32"
  )
  mean <- ops$take(outputs, 0L, axis = 1L)
  sd <- deviation(ops$take(outputs, 1L, axis = 1L))
  observation <- mean + sd * keras$random$normal(mean$shape, seed = 1L)
  lapply(list(mean = mean, sd = sd, observation = observation), function(drawn) {
    matrix(ops$convert_to_numpy(drawn * scale), draws, byrow = TRUE)
  })
}

drawn <- predict_draws(test$times)
accel <- matrix(test$accel, 1000, nrow(test), byrow = TRUE)
density <- dnorm(accel, drawn$mean, drawn$sd)
interval <- apply(drawn$observation, 2, quantile, c(0.05, 0.95))
scores <- data.frame(
  rmse = sqrt(mean((test$accel - colMeans(drawn$mean))^2)),
  nll = -mean(log(colMeans(density))),
  coverage = mean(test$accel >= interval[1, ] & test$accel <= interval[2, ])
)
write.csv(scores, file.path(folder, "scores-r.csv"), row.names = FALSE, quote = FALSE)
numpy$save(file.path(folder, "predictions-r.npy"), drawn$observation)

grid <- data.frame(times = seq(0, 60, length.out = 241))
drawn <- predict_draws(grid$times, 4000)
grid$mean <- colMeans(drawn$mean)
quantiles <- apply(drawn$observation, 2, quantile, c(0.05, 0.25, 0.75, 0.95))
data$part <- ifelse(data$held_out == 1, "held-out data", "training data")

plot <- ggplot(grid, aes(times)) +
  geom_ribbon(aes(ymin = quantiles[1, ], ymax = quantiles[4, ], fill = "90% interval")) +
  geom_ribbon(aes(ymin = quantiles[2, ], ymax = quantiles[3, ], fill = "50% interval")) +
  geom_line(aes(y = mean, colour = "predictive mean"), linewidth = 0.7) +
  geom_point(aes(y = accel, shape = part), data, size = 1.6, fill = "#fd8d3c") +
  scale_fill_manual(NULL, values = c("50% interval" = "#6baed6", "90% interval" = "#c6dbef")) +
  scale_colour_manual(NULL, values = "#08306b") +
  scale_shape_manual(NULL, values = c("held-out data" = 21, "training data" = 16)) +
  # Without an order, it differs between versions of ggplot2.
  guides(
    fill = guide_legend(order = 1), colour = guide_legend(order = 2),
    shape = guide_legend(order = 3)
  ) +
  scale_x_continuous(expand = c(0, 0)) +
  labs(
    title = "R: two flipout layers, motorcycle crash data",
    x = "time after the impact (ms)", y = "acceleration of the head (g)"
  ) +
  theme_classic() +
  theme(legend.position = "bottom", legend.margin = margin())
ggsave(file.path(folder, "mcycle-r.png"), plot, width = 8, height = 4.5, dpi = 150)
