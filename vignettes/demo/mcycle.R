# A head in a motorcycle crash: its acceleration, and how sure a network is. As `mcycle.py`.
library(layerapi)
library(ggplot2)
keras <- reticulate::import("keras")
numpy <- reticulate::import("numpy")
folder <- commandArgs(trailingOnly = TRUE)[1]
set.seed(1)
data <- transform(MASS::mcycle, held_out = seq_along(times) %in% sample(length(times), 33))
write.csv(transform(data, held_out = +held_out), file.path(folder, "data.csv"), row.names = FALSE)
train <- data[!data$held_out, ]
test <- data[data$held_out, ]
n <- nrow(train)
features <- function(times) { # twenty bumps, so that a small network follows a winding curve
  exp(-0.5 * (outer(times, seq(0, 60, length.out = 20), "-") / 3)^2)
}
keras$utils$set_random_seed(as.integer(1))
model <- keras$Sequential() %>%
  layer_dense_flipout(units = 10, activation = "relu", kl_weight = 1 / n, input_shape = 20) %>%
  layer_dense_flipout(units = 2, kl_weight = 1 / n)
decay <- keras$optimizers$schedules$CosineDecay(0.02, 3000)
model$compile(keras$optimizers$Adam(decay), loss = likelihood_normal())
rows <- rep(seq_len(n), 600) # a batch has every row four times: a less noisy gradient
x <- features(train$times)[rows, ]
y <- array(train$accel[rows] / 50) # in units of 50 g
fitted <- model$fit(x, y, as.integer(4 * n), as.integer(20), shuffle = FALSE, verbose = FALSE)
draws <- posterior_linpred(model, features(test$times), seed = 1)
scores <- score(draws, y = test$accel / 50, seed = 1)
saved <- c(list(posterior_predict(draws, seed = 1)), setNames(scores$estimate, scores$metric))
do.call(numpy$savez, c(file.path(folder, "r.npz"), saved))
grid <- data.frame(times = seq(0, 60, length.out = 241))
draws <- posterior_linpred(model, features(grid$times), draws = 4000, seed = 1)
grid[c("low", "high")] <- 50 * predictive_interval(draws, prob = 0.9, seed = 1)
grid[c("lower", "upper")] <- 50 * predictive_interval(draws, prob = 0.5, seed = 1)
grid$mean <- 50 * colMeans(posterior_epred(draws))
plot <- ggplot(grid, aes(times)) +
  geom_ribbon(aes(ymin = low, ymax = high, fill = "90% interval")) +
  geom_ribbon(aes(ymin = lower, ymax = upper, fill = "50% interval")) +
  geom_line(aes(y = mean, linetype = "predictive mean"), colour = "#08306b") +
  geom_point(aes(y = accel, colour = ifelse(held_out, "held-out data", "training data")), data) +
  scale_fill_manual(values = c("#6baed6", "#c6dbef")) +
  scale_colour_manual(values = c("#f16913", "black")) +
  labs(x = "time after the impact (ms)", y = "acceleration (g)") +
  theme_classic() +
  theme(legend.position = "bottom", legend.title = element_blank())
ggsave(file.path(folder, "mcycle-r.png"), plot, width = 8, height = 4.5, dpi = 150)
